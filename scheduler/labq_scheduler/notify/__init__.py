"""The notifier: tells people what became of their jobs, once, in order.

A process of its own (``labq-notifier``): a thread follows the event stream and makes notices, an RQ worker delivers.

Pure, and therefore tested without anything:
    news.py      an event and its job -> what happened        choose.py   what happened -> notices, for whom, when
    message.py   what happened -> what is said                digest.py   several things -> one message
    blocks.py    message -> Slack's blocks, escaped           plain.py    message -> text for mail, JSON for webhooks
    commands.py  `/labq …` -> which verb                      answers.py  what a verb found -> what is said
    allowed.py   where members may send notices               reach.py    addresses that webhooks reach

The rest:
    follower.py  reads events, makes notices, says which lanes are due
    deliver.py   works one lane: send, look first when unsure, wait when told to, give up
    channels.py  which channel sends                          tail.py     last lines of a log
    slack.py     Slack's Web API (with slack_socket.py the only importers of slack_sdk)
    slack_socket.py  Socket Mode: `/labq` and buttons         two_way.py  who may what, runs the verbs
    mail.py      SMTP                                         webhook.py  HTTP POST
    deadline.py  an end for a whole exchange                  pool.py     threads that nobody waits for
    process.py   puts the parts together
"""
