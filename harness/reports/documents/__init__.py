"""Reports as documents: HTML, JUnit, SARIF, Markdown, traces, regression tests."""
