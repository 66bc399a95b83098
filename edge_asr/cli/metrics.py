"""``metrics``: what Prometheus reads, without a port."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_asr.errors import EdgeAsrError

if TYPE_CHECKING:
    from edge_asr.cli.context import Context


@click.command()
@click.option(
    "--textfile",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write them into this file, as a whole or not at all, instead of printing them.",
)
@click.pass_obj
def metrics(context: Context, textfile: Path | None) -> None:
    """Print how the appliance is and was, as Prometheus reads it.

    edge-asr serve answers with the same at /metrics. A file is for boards without an open port:
    node_exporter's textfile collector takes it along.

    \b
    Examples:
      edge-asr metrics
      edge-asr metrics --textfile /var/lib/prometheus/node-exporter/edge-asr.prom
    """
    try:
        from edge_asr.bridges.counted import read_totals
        from edge_asr.bridges.metrics import metrics_text
        from edge_asr.bridges.textfile import write_textfile
    except ModuleNotFoundError as error:
        raise EdgeAsrError(
            f"{error.name} is missing; install it with: pip install 'edge-asr[serve]'"
        ) from error
    from edge_asr.store import Store

    with Store.open(context.state_dir, readonly=True) as store:
        if textfile is None:
            click.echo(metrics_text(store, context.config, read_totals(store.state_dir)), nl=False)
        else:
            write_textfile(store, context.config, textfile)
