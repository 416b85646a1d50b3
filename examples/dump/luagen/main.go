// Command luagen writes pfsync.lua, a dissector of pfsync for Wireshark, from a
// table of the messages: what it knows of an offset or a name stands there.
//
//	go generate ./examples/dump
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	in := flag.String("layout", "testdata/pfsync-layout.json", "table of the messages")
	out := flag.String("o", "pfsync.lua", "dissector to write")
	flag.Parse()
	if err := run(*in, *out); err != nil {
		fmt.Fprintln(os.Stderr, "luagen:", err)
		os.Exit(1)
	}
}

func run(in, out string) error {
	table, err := os.ReadFile(in)
	if err != nil {
		return err
	}
	lua, err := generate(table)
	if err != nil {
		return fmt.Errorf("%s: %w", in, err)
	}
	return os.WriteFile(out, lua, 0o644)
}
