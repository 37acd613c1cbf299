"""Accounts: set-up, sign-in, sessions, passwords, throttling, people."""
