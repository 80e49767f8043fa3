"""The command line: its commands, in the order and the groups in which `snn2ann --help` lists them."""

from snn2ann.cli import comparing, jobs, making, outputs, packing, planning
from snn2ann.cli.app import app, main

__all__ = ["app", "main"]

COMMANDS = {
    "What you need": (
        planning.check,
        making.run,
        comparing.show,
        comparing.compare,
        comparing.agree,
        making.report,
        planning.estimate,
        making.rerun,
        planning.prune,
        making.import_checkpoint,
        packing.pack,
        packing.unpack,
        outputs.crate,
    ),
    "Called by the workflow; by hand, where one step is to be made alone": (
        jobs.fetch,
        jobs.make_run,
        jobs.train,
        jobs.calibrate,
        jobs.evaluate,
        jobs.measure,
        jobs.measure_inference,
        outputs.study,
        outputs.collect,
        outputs.table,
        outputs.figure,
        outputs.claims,
        outputs.track,
        outputs.watch,
    ),
    "For this project's pages": (outputs.publish, outputs.registered, outputs.schema),
}
for group, commands in COMMANDS.items():
    for command in commands:
        app.command(rich_help_panel=group)(command)
