"""Hypothesis examples: the schedules they draw, the testbeds kept between them, where failing ones are stored."""
