"""From the nodes of a sub-topology to the operators of a task; a file a family of operators."""
