"""Children in a worker: what its main process and the processes of its pool do around them."""
