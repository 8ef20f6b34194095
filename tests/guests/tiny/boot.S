/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Multiboot entry, segments, stack and interrupt stubs of the tiny guest. */

#define MULTIBOOT_MAGIC 0x1badb002
#define MULTIBOOT_FLAGS 0x00000002 /* we want the memory sizes */
#define STACK_BYTES 16384
#define CODE_SELECTOR 0x08
#define DATA_SELECTOR 0x10
#define PIC_MASTER 0x20
#define PIC_SLAVE 0xa0
#define PIC_EOI 0x20

    .section .multiboot, "a"
    .balign 4
    .long MULTIBOOT_MAGIC
    .long MULTIBOOT_FLAGS
    .long -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

    .section .rodata
    .balign 8
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff /* flat code */
    .quad 0x00cf93000000ffff /* flat data */
gdt_end:
gdt_pointer:
    .word gdt_end - gdt - 1
    .long gdt

    .text
    .globl start
start:
    cli
    cld
    mov $stack_top, %esp
    lgdt gdt_pointer
    mov $DATA_SELECTOR, %cx
    mov %cx, %ds
    mov %cx, %es
    mov %cx, %fs
    mov %cx, %gs
    mov %cx, %ss
    ljmp $CODE_SELECTOR, $1f
1:  push %ebx /* multiboot information */
    push %eax /* magic of the loader */
    call tiny_main
2:  hlt
    jmp 2b

/* An exception is the end: say which one and where. */
    .altmacro
    .macro exception_stub n
    .balign 16
    .if (\n == 8) || (\n == 10) || (\n == 11) || (\n == 12) || (\n == 13) || (\n == 14) || (\n == 17)
    /* the CPU pushed an error code */
    .else
    push $0
    .endif
    push $\n
    call tiny_exception
    .endm

    .balign 16
    .globl exception_stubs
exception_stubs:
    .set i, 0
    .rept 32
    exception_stub %i
    .set i, i + 1
    .endr

/* The timer only has to end a hlt. */
    .balign 16
    .globl timer_stub
timer_stub:
    push %eax
    mov $PIC_EOI, %al
    out %al, $PIC_MASTER
    pop %eax
    iret

    .balign 16
    .globl ignore_stub
ignore_stub:
    iret

    .bss
    .balign 16
stack:
    .skip STACK_BYTES
stack_top:

    .section .note.GNU-stack, "", @progbits
