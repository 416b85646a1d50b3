package ifconfig

import (
	"net/netip"
	"slices"

	"github.com/gocarp/gocarp/demote"
)

// apply makes the change if it is one that all interfaces have.
func (i *Interface) apply(ch Change) (done bool, err error) {
	i.At[ch.Op] = ch.Pos
	switch ch.Op {
	case MTU:
		i.MTU = ch.N
	case Description:
		i.Description = ch.Name
	case ClearDescription:
		i.Description = ""
	case JoinGroup:
		if ch.Name != demote.All && !slices.Contains(i.Groups, ch.Name) {
			i.Groups = append(i.Groups, ch.Name)
		}
	case LeaveGroup:
		at := slices.Index(i.Groups, ch.Name)
		switch {
		case ch.Name == demote.All:
			return true, &Error{ch.Pos, ch.Name, "every interface is in it"}
		case at < 0:
			return true, &Error{ch.Pos, ch.Name, i.Name + " is not in this group"}
		}
		i.Groups = slices.Delete(i.Groups, at, at+1)
	case Create, State, Shell:
	default:
		return false, nil
	}
	return true, nil
}

// apply makes the change.
func (i *CarpInterface) apply(ch Change) error {
	if done, err := i.Interface.apply(ch); done {
		return err
	}
	switch ch.Op {
	case VHID:
		i.VHID, i.Nodes, i.Balancing = uint8(ch.N), nil, ""
	case CarpNodes:
		i.VHID, i.AdvSkew, i.Nodes = ch.Nodes[0].VHID, ch.Nodes[0].AdvSkew, nil
		if len(ch.Nodes) > 1 {
			i.Nodes = slices.Clone(ch.Nodes)
		}
	case Balancing:
		if i.Balancing = ch.Name; ch.Name == "none" {
			i.Balancing = ""
		}
	case AdvBase:
		i.AdvBase = uint8(ch.N)
	case AdvSkew:
		i.AdvSkew = uint8(ch.N)
		if i.Nodes != nil {
			i.Nodes = slices.Clone(i.Nodes)
			i.Nodes[0].AdvSkew = i.AdvSkew
		}
	case Pass:
		i.Pass = ch.Pass
	case CarpDev:
		i.CarpDev = ch.Name
	case ClearCarpDev:
		i.CarpDev = ""
	case CarpPeer:
		i.Peer = ch.Addr
	case ClearCarpPeer:
		i.Peer = netip.Addr{}
	case LLAddr:
		i.LLAddr = ch.LLAddr
	case Up:
		i.Down = false
	case Down:
		i.Down = true
	case SetAddress, AddAddress:
		i.addAddress(ch.Address, ch.Op == SetAddress)
	case DeleteAddress:
		return i.deleteAddress(ch)
	case ClearInet:
		i.Addresses = slices.DeleteFunc(i.Addresses, func(a Address) bool { return a.Prefix.Addr().Is4() })
	case ClearInet6:
		i.Addresses = slices.DeleteFunc(i.Addresses, func(a Address) bool { return a.Prefix.Addr().Is6() })
	default:
		return i.misfit(ch)
	}
	return nil
}

// addAddress adds a, or changes its mask if it is there already. An IPv4 address
// that is to replace another one takes the place of the first.
func (i *CarpInterface) addAddress(a Address, replace bool) {
	first, at := i.firstInet(), i.addressIndex(a.Prefix.Addr())
	switch {
	case replace && a.Prefix.Addr().Is4() && first >= 0:
		if at > first {
			i.Addresses = slices.Delete(i.Addresses, at, at+1)
		}
		i.Addresses[first] = a
	case at >= 0:
		i.Addresses[at] = a
	default:
		i.Addresses = append(i.Addresses, a)
	}
}

func (i *CarpInterface) deleteAddress(ch Change) error {
	at := i.firstInet()
	if ch.Addr.IsValid() {
		at = i.addressIndex(ch.Addr)
	}
	if at < 0 {
		word := ""
		if ch.Addr.IsValid() {
			word = ch.Addr.String()
		}
		return &Error{ch.Pos, word, i.Name + " has no such address"}
	}
	i.Addresses = slices.Delete(i.Addresses, at, at+1)
	return nil
}

// firstInet is the index of the first IPv4 address, -1 if there is none.
func (i *CarpInterface) firstInet() int {
	return slices.IndexFunc(i.Addresses, func(a Address) bool { return a.Prefix.Addr().Is4() })
}

func (i *CarpInterface) addressIndex(addr netip.Addr) int {
	return slices.IndexFunc(i.Addresses, func(a Address) bool { return a.Prefix.Addr() == addr })
}

// apply makes the change.
func (i *PfsyncInterface) apply(ch Change) error {
	if done, err := i.Interface.apply(ch); done {
		return err
	}
	switch ch.Op {
	case SyncDev:
		i.SyncDev = ch.Name
	case ClearSyncDev:
		i.SyncDev = ""
	case SyncPeer:
		i.SyncPeer = ch.Addr
	case ClearSyncPeer:
		i.SyncPeer = netip.Addr{}
	case MaxUpd:
		i.MaxUpd = uint8(ch.N)
	case Defer:
		i.Defer = true
	case NoDefer:
		i.Defer = false
	case Version:
		i.Version = ch.N
	case Up:
		i.Up = true
	case Down:
		i.Up = false
	default:
		return i.misfit(ch)
	}
	return nil
}
