"""The lab's rules as a file of TOML: who is preferred, by how much, and what nobody may do.

keys.py     every key that it may have: the one table
values.py   readers of single values            lines.py   in which line of the file each key stands
read.py     text -> ``Said``, or one error that tells all mistakes with their lines; show.py   and back, for people

What the rules do is the policy's (labq_scheduler.policy.rules); a file can be checked where no server is.
"""
