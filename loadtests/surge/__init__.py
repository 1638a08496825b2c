"""The surge: half a million different visitors before one gate, by Locust, and a verdict on the laws.

A visitor is a record (cookies, place, when it acts next), not a greenlet and not a connection: one machine has some
30,000 ports an address, and a greenlet each stalls beyond 100,000. `crowd.py` keeps the records and says who acts
next; a hundred Locust users in each process act for them over shared connections; each kind of visitor is one file
in `kinds/`. Every answer is written down (`answers.py`), and `verdict.py` judges them afterwards.
"""
