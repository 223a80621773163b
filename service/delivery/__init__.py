"""Stored result files to each destination, and the proof that they arrived.

One thread per destination (`service.delivery.loop`); what is to be done stands in the tables, so any process may
die at any moment.
"""
