// Command jobpooler is the daemon that groups files into jobs and runs them on the queue manager.
package main

import (
	"os"

	"longhaul/internal/daemon"
)

func main() { os.Exit(daemon.Main(daemon.JobPooler, os.Args[1:], os.Stderr)) }
