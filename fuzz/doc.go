// Package fuzz holds the fuzz targets of what strangers can send and operators
// can configure. They use the exported API only and judge it by properties and
// by references written from the protocol, not by its own functions. There is
// nothing in the package but tests.
//
// go test ./fuzz plays the kept inputs of testdata/fuzz. To look for new ones,
// one target at a time:
//
//	go test ./fuzz -run '^$' -fuzz '^FuzzHeader$' -fuzztime 60s
//
// An input that fails is written to testdata/fuzz/FuzzHeader. Keep it with the
// fix, under a name that says what went wrong.
package fuzz
