"""Who may ask."""

from fastapi import Request

from plant_disease.service.problems import Problem


async def require_key(request: Request) -> None:
    """A dependency of every route that costs something: closed unless `PLANT_AUTH=off`.

    Raises:
        Problem: 401.
    """
    if request.app.state.engine.settings.auth == "required":
        raise Problem(
            401,
            "key_required",
            "This service asks for an API key and has none on file. "
            "Whoever runs it behind a gateway of their own sets PLANT_AUTH=off.",
            headers={"WWW-Authenticate": 'Bearer realm="plant-disease"'},
        )
