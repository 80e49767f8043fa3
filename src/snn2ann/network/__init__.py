"""From any module to a plan: tracing, what is supported, operations in the paper's order."""
