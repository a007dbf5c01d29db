"""Fixtures for all tests."""

from tests.servers import aws_environment, gcs_url, moto_url

__all__ = ["aws_environment", "gcs_url", "moto_url"]
