"""tidegate's scheduler in vLLM, comparing the books after every step; a difference ends the engine."""

from typing import Any

import tidegate.vllm


class Checked(tidegate.vllm.Scheduler):
    """`--scheduler-cls checked.Checked`."""

    def update_from_output(self, *args: Any) -> Any:
        """vLLM's, then the comparison."""
        outputs = super().update_from_output(*args)
        self.check_books()
        return outputs
