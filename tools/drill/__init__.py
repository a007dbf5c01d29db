"""Disasters, tried out on this machine: docs/disaster-recovery.md.

load.py        clients that send a known photo all the time, and what they were answered
stage.py       what a drill needs: services, a balancer, a bucket, the command line
scenarios.py   the disasters
__main__.py    python -m tools.drill
"""
