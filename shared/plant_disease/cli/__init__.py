"""The `plant-disease` command."""

import sys

import typer

from plant_disease.cli import batch, bulk, cost, evaluate, explain, keys, models, predict, serve, training, usage
from plant_disease.cli.output import print_error
from plant_disease.errors import PlantDiseaseError

app = typer.Typer(
    name="plant-disease",
    help="Diagnose plant diseases from photos of leaves.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command()(serve.serve)
app.command()(predict.predict)
app.command()(explain.explain)
app.command()(batch.batch)
app.command()(bulk.bulk)
app.command()(training.train)
app.command()(evaluate.evaluate)
app.command()(training.export)
app.command()(cost.cost)
app.add_typer(models.app, name="models")
app.add_typer(keys.app, name="keys")
app.add_typer(usage.app, name="usage")


def main() -> None:
    """Run the command: exit code 0, 1 where something failed, 2 for misuse."""
    try:
        app()
    except PlantDiseaseError as error:
        print_error("Error", error)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
