// Package rtnl is the small part of Linux's rtnetlink that CARP needs: look at
// links and addresses, be told when they change, put addresses on and off, make
// macvlan links, and set a default route. It is empty on other systems.
//
// Every socket belongs to the network namespace of the thread that opened it,
// for as long as it lives; the goroutines that use it later may run anywhere.
//
// Errors carry the kernel's own words where it gives any (extended
// acknowledgements) and match the errno with errors.Is.
package rtnl
