"""Keep what waits while a visitor is at Microsoft or before a form: cookies, session, return URLs."""
