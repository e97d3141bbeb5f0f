"""`sparkify docs`: writes what is derived from sql/: dictionary, diagram, lineage, translation."""

import sys

import click


@click.command("docs")
@click.option(
    "--check", is_flag=True, help="Write nothing; exit with 1 where a file is not current."
)
def command(*, check: bool) -> None:
    """Write docs/data_dictionary.md, docs/erd.md, column lineage and SQL for DuckDB anew.

    Works in a checkout of the repository, which these files are part of.
    """
    from sparkify_dagster.documentation.files import ROOT, outdated, render_files

    if not (ROOT / "pyproject.toml").is_file():
        raise click.ClickException(
            f"{ROOT} is no checkout of the repository: run this from one, after `make run`"
        )
    files = render_files()
    stale = outdated(files)
    for path in stale:
        name = path.relative_to(ROOT)
        if check:
            click.echo(f"{name}: not current, run `sparkify docs`", err=True)
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(files[path], encoding="utf-8")
            click.echo(f"Wrote {name}")
    if check and stale:
        sys.exit(1)
    if not stale:
        click.echo("All files are current.")
