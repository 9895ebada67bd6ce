"""`make demo`: the Pod as processes on loopback, with faults, and a ledger that is checked at the end.

    story ──starts and kills──▶ stage: one process for each container, one folder for each volume
      │                           app ──▶ ambassador ──▶ three backends
      │                           app.log ──▶ logshipper ──▶ receiver
      │                           adapter ──▶ app
      ├──▶ outside: customers and a monitor, who never stop
      ├──▶ events ──▶ view: a live picture on a terminal, or plain lines
      │           └─▶ page: the Pod in a browser
      └──▶ ledger: each expectation beside the figure that was seen ──▶ exit code

Begin with `story`.
"""
