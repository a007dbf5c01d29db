"""How much a caller may ask for: the rates and the quota of its plan, counted in photos (docs/limits.md).

    limiter.py     Limiter: takes photos from a caller's plan, or refuses; Standing: what is left, for the headers
    addresses.py   as whom a caller without a key is counted
    stores.py      where counts are kept, and what happens when that place is slow or gone
    windows.py     what a store must be able to do
    memory.py  redis.py  dynamodb.py

The library `limits` is imported where the store is opened, and nowhere else: it imports itself in a circle, which two
threads at once do not survive. An SDK is imported only for a store that needs it.
"""

from plant_disease.service.limits.addresses import subject_of_address
from plant_disease.service.limits.limiter import Limit, Limiter, Standing

__all__ = ["Limit", "Limiter", "Standing", "subject_of_address"]
