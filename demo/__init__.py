"""`make demo`: the Pod as processes on loopback, with faults, and a ledger that is checked at the end.

    story ──starts and kills──▶ stage: one process for each container, one folder for each volume
      │                           app ──▶ ambassador ──▶ three backends
      │                           app.log ──▶ logshipper ──▶ receiver
      │                           adapter ──▶ app
      ├──▶ view: a live picture on a terminal, or plain lines
      └──▶ ledger: each expectation beside the figure that was seen ──▶ exit code

Begin with `story`.
"""
