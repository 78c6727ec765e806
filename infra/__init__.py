"""The stack: what swath is made of on AWS, and how to check it before it is deployed."""
