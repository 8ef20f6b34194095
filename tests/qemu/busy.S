/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A boot sector that keeps every vCPU busy for ever: each writes one word into each page of its own
 * 32 KiB over and over. Real mode all the way; the other vCPUs are started through the x2APIC,
 * whose registers real mode can reach.
 */
        .code16
        .globl _start
_start: ljmp    $0x07c0, $main
main:   cli
        movw    %cs, %ax
        movw    %ax, %ds

        /* Where the others start: 0800:0000 jumps to `work' */
        movw    $0x0800, %ax
        movw    %ax, %es
        movb    $0xea, %es:0
        movw    $work, %es:1
        movw    $0x07c0, %es:3

        movl    $0x1b, %ecx             /* IA32_APIC_BASE: x2APIC on */
        rdmsr
        orl     $0xc00, %eax
        wrmsr
        movl    $0x830, %ecx            /* ICR: to all but self */
        xorl    %edx, %edx
        movl    $0x000c4500, %eax       /* INIT */
        wrmsr
        movl    $0x000c4608, %eax       /* start at page 8 */
        wrmsr
        wrmsr

work:   movw    $0x07c0, %ax
        movw    %ax, %ds
        movw    $0x0800, %bx            /* paragraphs in 32 KiB */
        lock xaddw %bx, place
        movw    %bx, %es
again:  xorw    %di, %di
page:   incw    %es:(%di)
        movw    $200, %cx               /* some computing a page */
1:      loop    1b
        addw    $0x1000, %di
        cmpw    $0x8000, %di
        jb      page
        jmp     again

place:  .word   0x1000
        .org    510
        .word   0xaa55
