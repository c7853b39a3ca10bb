"""``python -m mineru_pipeline.devserver``: the dev server as a command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mineru_pipeline.devserver.serve import serve
from mineru_pipeline.devserver.simulate import Simulation
from mineru_pipeline.errors import ModelServerError


def main(  # noqa: PLR0917 typer turns parameters into options
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8000,
    simulate: Annotated[bool, typer.Option("--simulate", help="Invent answers; read nothing.")] = False,  # noqa: FBT002 typer's flag
    slots: Annotated[int, typer.Option(min=1, help="Simulated requests that run at once.")] = 256,
    simulate_latency: Annotated[float, typer.Option(min=0, help="Seconds each simulated answer takes at least.")] = 0.0,
    prefill_rate: Annotated[float | None, typer.Option(min=1, help="Prompt tokens/s of a simulated sequence.")] = None,
    decode_rate: Annotated[float | None, typer.Option(min=1, help="Answer tokens/s of a simulated sequence.")] = None,
    kv_cache_tokens: Annotated[int | None, typer.Option(min=1, help="Simulated KV cache, in tokens.")] = None,
    seed: Annotated[int, typer.Option(help="Another seed, other simulated answers.")] = 0,
    faults: Annotated[Path | None, typer.Option(help="YAML or JSON file with the faults to simulate.")] = None,
    api_key_file: Annotated[Path | None, typer.Option(help="File with the key that /v1 asks for.")] = None,
    max_num_queued_reqs: Annotated[int | None, typer.Option(min=1, help="Running plus waiting; 503 beyond.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Requests read at once; default: usable cores.")] = None,
    ready_file: Annotated[Path | None, typer.Option(help="Written with the URL once the server listens.")] = None,
    exit_with_parent: Annotated[int | None, typer.Option(help="End when this parent process id is gone.")] = None,
) -> None:
    """Serve an OpenAI-compatible API that answers MinerU's prompts on a CPU, without MinerU2.5."""
    simulation = Simulation(slots, simulate_latency, prefill_rate, decode_rate, kv_cache_tokens, seed)
    try:
        serve(
            host,
            port,
            simulation=simulation if simulate else None,
            faults_file=faults,
            api_key=api_key_file.read_text().strip() if api_key_file else None,
            max_num_queued_reqs=max_num_queued_reqs,
            workers=workers,
            ready_file=ready_file,
            parent_pid=exit_with_parent,
            announce=lambda url: typer.echo(f"dev server listening on {url}"),
        )
    except ModelServerError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error


if __name__ == "__main__":
    typer.run(main)
