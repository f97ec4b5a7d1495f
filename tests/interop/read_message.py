"""What hl7apy reads in a message of ours, checked against HL7 2.5.1, as one JSON object.

    read_message.py FILE
"""

import json
import sys
from pathlib import Path

from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message

# Without the bytes of MLLP; carriage returns stay.
text = Path(sys.argv[1]).read_bytes().decode("utf-8")
message = parse_message(text, find_groups=True, validation_level=VALIDATION_LEVEL.STRICT)
message.validate()
result = message.oru_r01_patient_result
order = result.oru_r01_order_observation
observations = [
    {
        "type": group.obx.obx_2.to_er7(),
        "code": group.obx.obx_3.ce_1.to_er7(),
        "number": group.obx.obx_3.ce_4.to_er7(),
        "value": group.obx.obx_5.to_er7(),
        "flag": group.obx.obx_8.to_er7(),
        "status": group.obx.obx_11.to_er7(),
    }
    for group in order.oru_r01_observation
]
print(json.dumps({
    "type": message.msh.msh_9.to_er7(),
    "control_id": message.msh.msh_10.to_er7(),
    "charset": message.msh.msh_18.to_er7(),
    "patient": result.oru_r01_patient.pid.pid_3.to_er7(),
    "status": order.obr.obr_25.to_er7(),
    "observations": observations,
}))  # fmt: skip
