# SPDX-License-Identifier: GPL-2.0-or-later
# bash completion for lodge

_lodge_run_options="-m -smp -cpu -accel -enable-kvm -machine -M -object -numa -rtc -name -kernel -initrd -append
-bios -L -boot -option-rom -no-fd-bootchk -uuid -smbios -fw_cfg -drive -hda -hdb -hdc -hdd -cdrom -fda -fdb -pflash -blockdev -snapshot -cidata -no-reboot -no-shutdown -nographic -serial -chardev -virtfs -share -fsdev -debugcon -device -usb -usbdevice -display -full-screen -vnc -k -vga -monitor
-parallel -nic -netdev -net -nodefaults -d -D -sandbox -runas -pidfile -daemonize -S -restore -incoming -gdb -s -control -no-user-config -nodefconfig -help -qmp -qmp-pretty -mon -h"

_lodge_words() {
	# The words of $1 that begin with the current one; none of them is a file name.
	COMPREPLY=($(compgen -W "$1" -- "$cur"))
}

_lodge_machines() {
	lodge ps 2>/dev/null | awk 'NR > 1 { print $1 == "-" ? $2 : $1 }'
}

_lodge_run_value() {
	case $prev in
	-kernel | --kernel | -initrd | --initrd | -bios | --bios | -L | --L | -option-rom | --option-rom | \
		-hd? | --hd? | -cdrom | --cdrom | -fd? | --fd? | -pflash | --pflash | -restore | --restore | -D | --D | -pidfile | --pidfile)
		COMPREPLY=($(compgen -f -- "$cur"))
		compopt -o filenames 2>/dev/null
		;;
	-accel | --accel) _lodge_words "auto soft tcg kvm help" ;;
	-machine | --machine | -M | --M) _lodge_words "pc help" ;;
	-cpu | --cpu)
		_lodge_words "max help $(lodge run -cpu help 2>/dev/null | awk '{ print $1 }')"
		;;
	-d | --d)
		_lodge_words "help $(lodge run -d help 2>/dev/null | awk '{ print $1 }')"
		;;
	-rtc | --rtc) _lodge_words "base=utc base=localtime" ;;
	-mon | --mon)
		_lodge_words "chardev="
		compopt -o nospace 2>/dev/null
		;;
	-control | --control) _lodge_words "on off" ;;
	-serial | --serial | -debugcon | --debugcon | -monitor | --monitor | -qmp | --qmp | -qmp-pretty | --qmp-pretty | -gdb | --gdb)
		_lodge_words "stdio mon:stdio file: unix: tcp: pty null none"
		compopt -o nospace 2>/dev/null
		;;
	-drive | --drive)
		_lodge_words "file= if=virtio if=ide if=none format=raw format=qcow2 cache=none readonly=on"
		compopt -o nospace 2>/dev/null
		;;
	-device | --device)
		_lodge_words "help $(lodge run -device help 2>/dev/null | awk '{ sub(/,.*/, "", $1); print $1 }')"
		;;
	-share | --share)
		COMPREPLY=($(compgen -d -- "$cur"))
		compopt -o filenames -o nospace 2>/dev/null
		;;
	-object | --object)
		_lodge_words "memory-backend-memfd,id= memory-backend-file,id= memory-backend-ram,id="
		compopt -o nospace 2>/dev/null
		;;
	-virtfs | --virtfs | -fsdev | --fsdev)
		_lodge_words "local,path="
		compopt -o nospace 2>/dev/null
		;;
	-chardev | --chardev)
		_lodge_words "stdio,id= file,id= socket,id= pty,id= null,id="
		compopt -o nospace 2>/dev/null
		;;
	-nic | --nic)
		_lodge_words "user passt tap stream dgram socket none help model=help"
		compopt -o nospace 2>/dev/null
		;;
	-netdev | --netdev)
		_lodge_words "user,id= passt,id= tap,id= stream,id= dgram,id= socket,id= help"
		compopt -o nospace 2>/dev/null
		;;
	-vnc | --vnc) _lodge_words ":0 unix: none" ;;
	-vga | --vga) _lodge_words "std virtio none" ;;
	-usbdevice | --usbdevice) _lodge_words "tablet mouse keyboard" ;;
	-display | --display) _lodge_words "none sdl vnc=:0 web=127.0.0.1:6080" ;;
	-k | --k)
		_lodge_words "en-us en-gb de de-ch fr fr-be fr-ca fr-ch da es et fi hr hu is it ja lt lv nl no pl pt pt-br ru sl sv tr"
		;;
	-parallel | --parallel | -net | --net) _lodge_words "none" ;;
	-m | --m) _lodge_words "128M 256M 512M 1G 2G 4G" ;;
	-smp | --smp) _lodge_words "1 2 4 8" ;;
	-append | --append | -name | --name | -fw_cfg | --fw_cfg) COMPREPLY=() ;;
	*) return 1 ;;
	esac
}

_lodge_img() {
	if [ "$COMP_CWORD" -eq 2 ]; then
		_lodge_words "create info check convert resize snapshot rebase map commit compare"
		return
	fi
	case $prev in
	-f | -F | -O) _lodge_words "raw qcow2 vmdk vpc vdi" ;;
	-t | -T) _lodge_words "none writeback writethrough directsync unsafe" ;;
	-r) _lodge_words "leaks all" ;;
	-o)
		_lodge_words "cluster_size= compat= lazy_refcounts= refcount_bits= compression_type= \
extended_l2= preallocation= help"
		compopt -o nospace 2>/dev/null
		;;
	*)
		case $cur in
		-*) _lodge_words "-f -F -O -b -B -o -c -p -q -n -S -U -W -r -l -a -d -u -m -t -T -s \
--json --output=json --backing-chain --shrink --target-is-zero" ;;
		*)
			COMPREPLY=($(compgen -f -- "$cur"))
			compopt -o filenames 2>/dev/null
			;;
		esac
		;;
	esac
}

_lodge() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}

	COMPREPLY=()
	if [ "$COMP_CWORD" -eq 1 ]; then
		_lodge_words "run img new ps stop kill reset pause resume save screenshot key type click wait console monitor forward doctor help version"
		return
	fi
	case ${COMP_WORDS[1]} in
	run) _lodge_run_value || _lodge_words "$_lodge_run_options" ;;
	img) _lodge_img ;;
	doctor | ps) _lodge_words "--json" ;;
	stop) _lodge_words "--timeout --force $(_lodge_machines)" ;;
	kill | reset | pause | resume) _lodge_words "$(_lodge_machines)" ;;
	screenshot | key | type)
		_lodge_words "$(_lodge_machines)"
		;;
	click) _lodge_words "--right --middle --double --move $(_lodge_machines)" ;;
	wait) _lodge_words "--text --regex --picture --gone --timeout $(_lodge_machines)" ;;
	save)
		if [ "$COMP_CWORD" -ge 3 ] && [[ $prev != -* ]]; then
			COMPREPLY=($(compgen -f -- "$cur"))
			compopt -o filenames 2>/dev/null
		else
			_lodge_words "--keep --pause $(_lodge_machines)"
		fi
		;;
	console | monitor)
		if [ "$COMP_CWORD" -eq 2 ]; then
			_lodge_words "$(_lodge_machines)"
		fi
		;;
	forward)
		if [ "$COMP_CWORD" -eq 2 ]; then
			_lodge_words "$(_lodge_machines)"
		elif [ "$COMP_CWORD" -eq 3 ]; then
			_lodge_words "add remove list"
		fi
		;;
	new)
		case $prev in
		--ssh-key)
			COMPREPLY=($(compgen -f -- "$cur"))
			compopt -o filenames 2>/dev/null
			;;
		-f | --format) _lodge_words "qcow2 raw" ;;
		--kernel) _lodge_words "amd64 cloud-amd64 686-pae 686" ;;
		--arch) _lodge_words "amd64 i386" ;;
		-*) _lodge_words "--size --user --ssh-key --password --hostname --packages --release --arch --kernel --append
--timeout --mirror --format --force --quiet --help" ;;
		new) _lodge_words "debian" ;;
		*)
			COMPREPLY=($(compgen -W "--size --user --ssh-key --password --hostname --packages --release --arch --kernel
--append --timeout --mirror --format --force --quiet --help" -f -- "$cur"))
			compopt -o filenames 2>/dev/null
			;;
		esac
		;;
	help) _lodge_words "run img new ps stop kill reset pause resume save screenshot key type click wait console monitor forward doctor help version" ;;
	esac
}

complete -F _lodge lodge
