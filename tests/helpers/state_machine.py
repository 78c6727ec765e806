"""Step Functions as `start_run` sees it: executions by name, started once and described."""

import json
from types import SimpleNamespace

MACHINE = "arn:aws:states:eu-west-1:123456789012:stateMachine:swath"


class TakenError(Exception):
    pass


class UnknownError(Exception):
    pass


class States:
    """Step Functions: a name is taken once; the test says how executions end.

    https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
    """

    exceptions = SimpleNamespace(
        ExecutionAlreadyExists=TakenError, ExecutionDoesNotExist=UnknownError
    )

    def __init__(self, now):
        self.now = now
        self.executions = {}

    def start_execution(self, *, name, **parameters):
        assert parameters["stateMachineArn"] == MACHINE
        assert len(name) <= 80
        if (there := self.executions.get(name)) is not None:
            if there["status"] == "RUNNING" and there["input"] == parameters["input"]:
                return  # what AWS calls idempotent
            raise TakenError
        execution = {"status": "RUNNING", "startDate": self.now, "input": parameters["input"]}
        self.executions[name] = execution

    def describe_execution(self, **parameters):
        try:
            return dict(self.executions[self._name(**parameters)])
        except KeyError:
            raise UnknownError from None

    def end(self, name, status="SUCCEEDED", *, superseded=False):
        self.executions[name] |= {"status": status, "stopDate": self.now}
        if status == "SUCCEEDED":
            output = json.dumps({"load": {"rows": 1, "superseded": superseded}})
            self.executions[name]["output"] = output

    def redrive(self, name):
        self.executions[name] |= {"status": "RUNNING", "redriveDate": self.now}

    def ended(self, name):
        """The detail of the event about an execution's end, as it is now.

        https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html
        """
        execution = self.executions[name]
        return {
            "name": name,
            "status": execution["status"],
            "input": execution["input"],
            "stopDate": int(execution["stopDate"].timestamp() * 1000),
        }

    @staticmethod
    def _name(**parameters):
        machine, _, name = parameters["executionArn"].rpartition(":")
        assert machine == MACHINE.replace(":stateMachine:", ":execution:")
        return name
