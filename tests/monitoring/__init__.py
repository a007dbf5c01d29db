"""Rules, alerts, dashboards and what carries them."""
