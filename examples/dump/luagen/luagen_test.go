package main

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const table = "../testdata/pfsync-layout.json"

// TestUpToDate wants pfsync.lua to be what go generate makes of the table.
func TestUpToDate(t *testing.T) {
	b, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	want, err := generate(b)
	if err != nil {
		t.Fatal(err)
	}
	have, err := os.ReadFile("../pfsync.lua")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(have)); diff != "" {
		t.Errorf("pfsync.lua is old, run go generate ./examples/dump:\n%s", diff)
	}
}

// TestRefused wants an error for a table that the generator does not understand
// all of, rather than a dissector that leaves something out.
func TestRefused(t *testing.T) {
	for _, tt := range []struct{ name, flat, want string }{
		{"no JSON", `{`, "unexpected end"},
		{"unknown type", `{"name":"a","size":4,"type":"float"}`, `"float" of a`},
		{"address without family", `{"name":"addr","size":16,"type":"pf_addr"}`, "family of addr"},
		{"two types", `{"name":"a","size":4,"type":"uint32"},{"name":"a","size":4,"type":"char[4]"}`, "a is of type uint32 and of type string"},
	} {
		in := tt.flat
		if tt.name != "no JSON" {
			in = `{"OS":{"x":{"Structs":{"m":{"Flat":[` + tt.flat + `]}}}}}`
		}
		if _, err := generate([]byte(in)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}
