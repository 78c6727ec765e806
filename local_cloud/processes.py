"""What every process of the local cloud has of its machine: nothing that is its user's.

A home folder would bring a user's configuration along, such as `~/.aws/config`. Without HOME a
process would still find it in the list of users, so HOME is a folder that does not exist.
"""

MACHINE = {"HOME": "/nonexistent", "PATH": "/usr/local/bin:/usr/bin:/bin"}
