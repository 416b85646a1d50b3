package carp_test

import (
	"reflect"

	"github.com/gocarp/gocarp/carp"
)

// gained is now less before, counter by counter.
func gained(now, before carp.Stats) carp.Stats {
	n, b := reflect.ValueOf(&now).Elem(), reflect.ValueOf(before)
	for i := range n.NumField() {
		n.Field(i).SetUint(n.Field(i).Uint() - b.Field(i).Uint())
	}
	return now
}
