"""One module a task. Each ends in `TASK = Task(…)` and is found by `dialogue.task.tasks`."""
