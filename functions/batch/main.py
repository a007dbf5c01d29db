"""batch: many independent photos, a diagnosis each. Three faces of one application."""

from fastapi import FastAPI, Request
from mangum import Mangum

from functions.batch.routes import router
from plant_disease.service import job_routes
from plant_disease.service.app import TEXT_TYPES, create_app
from plant_disease.service.deliveries import Deliveries

app = create_app(router, job_routes.router)
"""ASGI, for uvicorn: Cloud Run, Compose, Kubernetes."""

handler = Deliveries(job_routes.add_jobs(app), Mangum(app, lifespan="off", text_mime_types=TEXT_TYPES))
"""AWS Lambda: API Gateway, function URLs and Application Load Balancers; and SQS, for the chunks of jobs."""


async def batch(_: Request) -> FastAPI:
    """The functions-framework target; the framework calls what this returns as the ASGI response."""
    return app
