// Command uploader is the daemon that puts results into the common database and deletes raw data.
package main

import (
	"os"

	"longhaul/internal/daemon"
)

func main() { os.Exit(daemon.Main(daemon.Uploader, os.Args[1:], os.Stderr)) }
