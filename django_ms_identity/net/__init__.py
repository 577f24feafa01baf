"""Make HTTP requests and keep fetched documents. Knows no Django and no protocol."""
