"""Tests of terraform/. What needs terraform itself has the marker `terraform`: `make test-terraform`."""
