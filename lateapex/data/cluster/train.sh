#!/bin/sh
# Trains on the cluster; what is given here goes to lateapex train too.
cd "$$(dirname "$$0")" && exec ray exec cluster.yaml $quoted_train" $$*"
