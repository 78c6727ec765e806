"""Implement CloudFormation's operations on a stack: create, update, roll back, delete."""
