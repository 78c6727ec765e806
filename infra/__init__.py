"""Define swath's stack on AWS, and check it before it is deployed."""
