-- allocate_refuse: the end of an allocation that is refused in the usual case.
if busy and not waits then return report('none_free', unpack(shortage(wants))) end
