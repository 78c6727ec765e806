from __future__ import annotations

from pathlib import Path

from local_cloud.faults.kinds import SlotsTaken
from local_cloud.moto_patches import function_invocation, lambda_task_errors
from local_cloud.services import Services
from tests.local_cloud.canaries.aws import Aws, applied


def test_canary_lambda_task_errors(services: Services, aws: Aws, tmp_path: Path):
    image = aws.image(tmp_path / "image", {"Dockerfile": 'CMD ["app.handle"]\n'})
    machine = aws.machine(("Call", {"Type": "Task", "Resource": aws.function(image, Timeout=2)}))
    services.faults.switch_on(SlotsTaken(slots=0))

    with applied(services, function_invocation):
        vanilla = aws.execute(machine)
    with applied(services, function_invocation, lambda_task_errors):
        ended = aws.execute(machine)

    assert vanilla["error"] == "Exception"
    assert ended["error"] == "Lambda.TooManyRequestsException"
    assert "Status Code: 429" in ended["cause"]
