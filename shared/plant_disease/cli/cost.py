"""`plant-disease cost`."""

from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.table import Table

from plant_disease.cli.output import Json, console, print_json
from plant_disease.cost import PLATFORMS, BreakEven, Estimate, break_even, estimate
from plant_disease.cost.prices import price_list
from plant_disease.cost.workload import MINUTES_PER_MONTH, Workload


def cost(
    per_minute: Annotated[float | None, typer.Option(help="Requests a minute, mean over the month.")] = None,
    requests: Annotated[float | None, typer.Option(help="Requests a month. [default: 100 a minute]")] = None,
    platform: Annotated[
        list[str] | None, typer.Option(metavar="|".join(PLATFORMS), help="May be repeated. [default: all]")
    ] = None,
    lines: Annotated[bool, typer.Option("--lines", help="Show each line of the bills.")] = False,
    ms: Annotated[float, typer.Option(help="From request to answer on --cpus, mean.")] = Workload.ms,
    cpu_ms: Annotated[float, typer.Option(help="CPU time in it, mean.")] = Workload.cpu_ms,
    memory_mb: Annotated[
        float | None, typer.Option(help="Memory of every instance. [default: what Terraform gives each function]")
    ] = Workload.memory_mb,
    cpus: Annotated[float, typer.Option(help="CPUs of an instance.")] = Workload.cpus,
    concurrency: Annotated[
        float, typer.Option(help="Requests that a busy instance answers at the same time, mean.")
    ] = Workload.concurrency,
    min_instances: Annotated[
        int, typer.Option(help="Of each function, kept warm in each region.")
    ] = Workload.min_instances,
    regions: Annotated[int, typer.Option(help="1 or 2.")] = Workload.regions,
    peak: Annotated[float, typer.Option(help="Requests in the busiest minutes over the mean.")] = Workload.peak,
    request_kb: Annotated[float, typer.Option(help="kB of a request, mean.")] = Workload.request_kb,
    answer_kb: Annotated[float, typer.Option(help="kB of an answer, mean.")] = Workload.answer_kb,
    upload_share: Annotated[
        float, typer.Option(help="Share of the photos that go by /uploads, 0 to 1.")
    ] = Workload.upload_share,
    log_kb: Annotated[float, typer.Option(help="kB of log lines a request.")] = Workload.log_kb,
    limits: Annotated[
        bool, typer.Option("--limits", help="Count rates and quotas in Memorystore or DynamoDB.")
    ] = Workload.limits,
    json: Json = False,
) -> None:
    """Estimate what a month of the service costs, from list prices (docs/cost.md)."""
    if per_minute is not None and requests is not None:
        raise typer.BadParameter("only one of them can be", param_hint=["--per-minute", "--requests"])
    if set(platform or ()) - set(PLATFORMS):
        raise typer.BadParameter(f"say {', '.join(PLATFORMS)}", param_hint="--platform")
    if requests is None:
        requests = (100 if per_minute is None else per_minute) * MINUTES_PER_MONTH
    try:
        work = Workload(
            requests=requests,
            ms=ms,
            cpu_ms=cpu_ms,
            memory_mb=memory_mb,
            cpus=cpus,
            concurrency=concurrency,
            min_instances=min_instances,
            regions=regions,
            peak=peak,
            request_kb=request_kb,
            answer_kb=answer_kb,
            upload_share=upload_share,
            log_kb=log_kb,
            limits=limits,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    estimates = [estimate(each, work) for each in platform or PLATFORMS]
    breaks = list(break_even(work, platform or PLATFORMS))
    if json:
        print_json(
            {
                "prices_read": price_list().read.isoformat(),
                "workload": asdict(work),
                "estimates": [_as_dict(each) for each in estimates],
                "break_even": [asdict(each) for each in breaks],
            }
        )
        return
    console.print(_summary(work, estimates))
    if lines:
        for each in estimates:
            console.print(_bill(each))
    for change in breaks:
        console.print(_sentence(change), highlight=False)


def _as_dict(each: Estimate) -> dict[str, Any]:
    return {
        "platform": each.platform,
        "monthly_usd": round(each.monthly_usd, 2),
        "fixed_usd": round(each.fixed_usd, 2),
        "variable_usd": round(each.variable_usd, 2),
        "usd_per_1000": None if each.usd_per_1000 is None else round(each.usd_per_1000, 4),
        "lines": [{**asdict(line), "usd": round(line.usd, 4)} for line in each.lines],
    }


def _summary(work: Workload, estimates: list[Estimate]) -> Table:
    title = f"{work.requests:,.0f} requests a month, {work.per_minute:,.1f} a minute; US dollars a month"
    table = Table("platform", title=title, title_justify="left")
    for name in ("fixed", "for requests", "together", "for 1,000 diagnoses"):
        table.add_column(name, justify="right")
    for each in estimates:
        table.add_row(
            each.platform,
            f"{each.fixed_usd:,.2f}",
            f"{each.variable_usd:,.2f}",
            f"{each.monthly_usd:,.2f}",
            "" if each.usd_per_1000 is None else f"{each.usd_per_1000:.4f}",
        )
    return table


def _bill(each: Estimate) -> Table:
    table = Table(each.platform, title_justify="left")
    for name in ("quantity", "price", "US dollars"):
        table.add_column(name, justify="right")
    table.add_column("of")
    for line in each.lines:
        price = price_list().prices[line.price]
        table.add_row(
            line.item,
            f"{line.quantity:,.2f}",
            f"{price.usd:.10f}".rstrip("0").rstrip("."),
            f"{line.usd:,.2f}",
            price.per,
        )
    return table


def _sentence(change: BreakEven) -> str:
    return f"From {change.per_minute:,} requests a minute on, {change.then} costs less than {change.before}."
