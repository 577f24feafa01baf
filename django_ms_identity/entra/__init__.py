"""Microsoft's protocol: providers, clouds, keys, client, token verification, Graph, refusals."""
